"""WebDAV as calendars and address books need it: requests, XML, limits, discovery."""
