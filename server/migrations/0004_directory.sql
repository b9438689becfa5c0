-- Version 4: people and groups are found by words of their names. It only adds to the versions before.

-- The words of the names of those who can be found, folded: each whole, and its first letters.
CREATE TABLE name_word (
  kind {INT} NOT NULL,                  -- 0 account, 1 team
  holder_id {INT} NOT NULL,
  word {TEXT} NOT NULL,
  part {INT} NOT NULL,                  -- 0 a whole word, 1 only the beginning of words
  place {TEXT} NOT NULL,                -- where the holder stands among all, by the name that people see
  PRIMARY KEY (kind, holder_id, word));
CREATE INDEX name_word_found ON name_word(kind, word, part, place, holder_id);

ALTER TABLE account ADD COLUMN worded {INT} NOT NULL DEFAULT 0;    -- 1: its words are there
CREATE INDEX account_unworded ON account(id) WHERE worded = 0 AND state = 0;
ALTER TABLE team ADD COLUMN worded {INT} NOT NULL DEFAULT 0;
CREATE INDEX team_unworded ON team(id) WHERE worded = 0 AND state = 0;
