-- Version 6: what happened to files and shares, for people to read, and of which shares people are told by mail. It only adds.
-- Times are nanoseconds since 1970 (UTC).

-- One row for each thing that somebody did, however many nodes or people it concerns.
CREATE TABLE activity (
  id {SERIAL},                          -- rises with time
  space_id {INT} NOT NULL,
  node_id {INT} NOT NULL,               -- it may be gone by now
  folder_id {INT},                      -- the folder in which it happened; NULL: the node is a root, or went elsewhere
  kind {INT} NOT NULL,                  -- 1 created, 2 changed, 3 renamed, 4 moved, 5 deleted, 6 restored, 7 version restored,
                                        -- 8 shared, 9 share changed, 10 share ended, 11 link opened, 12 downloaded by a link
  name {TEXT} NOT NULL,                 -- the node's, then
  is_folder {INT} NOT NULL,
  former_id {INT},                      -- moved: the folder where it was; NULL: it came from elsewhere
  former {TEXT},                        -- renamed, moved: its name before, if that was another
  share_id {INT},                       -- the share or link; of a change: the link by which somebody came
  peer_kind {INT},                      -- whom the share reaches: 0 a person, 1 a group, 3 whoever has the link
  peer_id {INT},                        -- that person or group; of a link that was opened: who gave it
  actor {INT} NOT NULL,                 -- the account; 0: whoever has a link; -1: somebody who is gone
  program {INT} NOT NULL,               -- 0 not known, 1 web page, 2 a program with the password, 3 a device, 4 a link, 5 a command
  token_id {INT},                       -- the device's app password
  address {TEXT},                       -- the client's network address
  at {INT} NOT NULL);
CREATE INDEX activity_space ON activity(space_id, id);
CREATE INDEX activity_node ON activity(node_id, id);
CREATE INDEX activity_actor ON activity(actor, id);

-- A share of which people are to be told by mail: some letters are written at a time, until everybody has one.
CREATE TABLE share_notice (
  share_id {INT} NOT NULL,
  kind {INT} NOT NULL,                  -- 0 it was given, 1 it ends soon
  after_id {INT} NOT NULL DEFAULT 0,    -- the last member of the group who was told
  at {INT} NOT NULL,
  PRIMARY KEY (share_id, kind));
CREATE INDEX share_notice_at ON share_notice(at);
CREATE INDEX share_unreminded ON share(expires_at) WHERE expires_at IS NOT NULL AND reminded_at IS NULL;

ALTER TABLE account ADD COLUMN language {TEXT};   -- in which somebody reads letters; NULL: not known
