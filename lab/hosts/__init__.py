"""The practice site's hosts: images, network, boot, certificates, passwords."""
