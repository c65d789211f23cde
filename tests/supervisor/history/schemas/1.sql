PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE ended (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            created_us INTEGER NOT NULL,
            ended_us INTEGER NOT NULL,
            outcome TEXT NOT NULL,
            end_reason TEXT NOT NULL,
            error TEXT,
            profile TEXT NOT NULL,
            profile_mode TEXT NOT NULL,
            purpose TEXT NOT NULL,
            was_warm INTEGER NOT NULL,
            login_state TEXT,
            login_reason TEXT,
            creation_ms INTEGER,
            cloning_ms INTEGER,
            queued_ms INTEGER,
            launching_ms INTEGER,
            warm_ms INTEGER,
            navigating_ms INTEGER,
            judging_ms INTEGER,
            live_ms INTEGER,
            ending_ms INTEGER,
            peak_memory_bytes INTEGER,
            peak_processes INTEGER,
            peak_disk_bytes INTEGER,
            politely INTEGER NOT NULL,
            by_force INTEGER NOT NULL,
            bytes_freed INTEGER NOT NULL,
            "left" TEXT NOT NULL, -- JSON
            held TEXT NOT NULL, -- JSON
            "commit" TEXT, -- JSON
            refused_calls INTEGER NOT NULL,
            has_bundle INTEGER NOT NULL
        );
INSERT INTO "ended" VALUES(1,'full',1795780800000000,1795781100000001,'broken','browser_lost','BrowserLost','work','write','login',1,'LOGGED_IN','viewer_object',205,54,NULL,1689,3093,118,87,9152,NULL,373856256,11,45993984,2,1,45993984,'["clone"]','[{"by":"operator","since":"2026-11-27T12:00:00Z","until":"2026-11-27T12:00:03Z"}]','{"generation":null,"problem":"The browser was lost"}',3,1);
CREATE INDEX ended_by_end ON ended (ended_us, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('ended',1);
COMMIT;
