-- Version 5: letters that wait to be sent by mail. It only adds.
-- Times are nanoseconds since 1970 (UTC).

-- Each lives until it is sent or given up, so for some days at most.
CREATE TABLE mail_queue (
  id {INT} PRIMARY KEY,
  recipient {TEXT} NOT NULL,            -- one address
  subject {TEXT} NOT NULL,
  body {TEXT} NOT NULL,                 -- plain text
  html {TEXT},                          -- the same for programs that show it
  created_at {INT} NOT NULL,
  attempts {INT} NOT NULL DEFAULT 0,    -- that failed
  next_try {INT} NOT NULL,
  last_error {TEXT});
CREATE INDEX mail_queue_due ON mail_queue(next_try, id);
