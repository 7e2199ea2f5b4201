package effect

// LeaverRemoved is the end of records whose account is gone from the directory.
const LeaverRemoved Action = "leaver_removed"
