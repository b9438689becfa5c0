-- Version 7: who sees what has changed for whom, so that whoever listens hears of it. It only adds.

-- The last of these changes; older rows are swept.
CREATE TABLE sharing_news (
  id {INT} PRIMARY KEY,                 -- one after the other, in the order of commits
  kind {INT} NOT NULL,                  -- 0 a person, 1 a group, 2 whoever sees something of a space,
                                        -- 3 to whom something of a space was passed on
  of_id {INT} NOT NULL);

-- The top of the tree with which a share went to the trash, or came back from it.
ALTER TABLE share ADD COLUMN went_with {INT};
