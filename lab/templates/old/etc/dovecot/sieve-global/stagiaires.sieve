require "fileinto";
if header :contains "Subject" "[stage]" {
    fileinto "INBOX.Stages";
}
