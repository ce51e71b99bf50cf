CREATE TABLE calendar (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	kind VARCHAR(16) NOT NULL,
	old_href VARCHAR(1024) NOT NULL,
	new_href VARCHAR(1024) NOT NULL,
	properties JSON NOT NULL,
	tag TEXT NOT NULL,
	seen_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account, old_href)
);

CREATE INDEX ix_calendar_account ON calendar (account);

CREATE TABLE calendar_share (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	old_href VARCHAR(1024) NOT NULL,
	who VARCHAR(255) NOT NULL,
	roles JSON NOT NULL,
	state VARCHAR(16) NOT NULL,
	words TEXT NOT NULL,
	seen_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account, old_href, who)
);

CREATE INDEX ix_calendar_share_account ON calendar_share (account);

CREATE TABLE carried (
	account VARCHAR(255) NOT NULL,
	folder VARCHAR(64) NOT NULL,
	what VARCHAR(16) NOT NULL,
	name_hash VARCHAR(64) NOT NULL,
	name TEXT NOT NULL,
	old TEXT,
	new TEXT,
	intended TEXT,
	ours BOOLEAN NOT NULL,
	PRIMARY KEY (account, folder, what, name_hash)
);

CREATE TABLE filter (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	name TEXT NOT NULL,
	name_hash VARCHAR(64) NOT NULL,
	original VARCHAR(64) NOT NULL,
	active BOOLEAN NOT NULL,
	put VARCHAR(64),
	put_at DATETIME,
	activated BOOLEAN NOT NULL,
	report JSON NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account, name_hash)
);

CREATE INDEX ix_filter_account ON filter (account);

CREATE TABLE filter_original (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	name TEXT NOT NULL,
	name_hash VARCHAR(64) NOT NULL,
	digest VARCHAR(64) NOT NULL,
	data BLOB NOT NULL,
	fetched_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account, name_hash, digest)
);

CREATE INDEX ix_filter_original_account ON filter_original (account);

CREATE TABLE folder (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	old_name TEXT NOT NULL,
	old_hash VARCHAR(64) NOT NULL,
	new_name TEXT NOT NULL,
	created BOOLEAN NOT NULL,
	subscribed BOOLEAN NOT NULL,
	finished BOOLEAN NOT NULL,
	doubt_from BIGINT NOT NULL,
	old_uidvalidity BIGINT NOT NULL,
	old_uidnext BIGINT NOT NULL,
	old_modseq BIGINT NOT NULL,
	old_messages INTEGER NOT NULL,
	new_uidvalidity BIGINT NOT NULL,
	new_uidnext BIGINT NOT NULL,
	new_modseq BIGINT NOT NULL,
	new_messages INTEGER NOT NULL,
	bytes BIGINT NOT NULL,
	uids VARCHAR(8) NOT NULL,
	uids_reason TEXT NOT NULL,
	uids_ended_at DATETIME,
	foreign_uid BIGINT NOT NULL,
	given_uidvalidity BIGINT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account, old_hash)
);

CREATE INDEX ix_folder_account ON folder (account);

CREATE TABLE journal (
	number INTEGER NOT NULL,
	at DATETIME NOT NULL,
	event VARCHAR(16) NOT NULL,
	kind VARCHAR(64) NOT NULL,
	subject TEXT NOT NULL,
	phase VARCHAR(64) NOT NULL,
	run TEXT NOT NULL,
	task TEXT NOT NULL,
	asked_by TEXT NOT NULL,
	parameters TEXT NOT NULL,
	"before" TEXT,
	"after" TEXT,
	note TEXT NOT NULL,
	previous_hash VARCHAR(64) NOT NULL,
	hash VARCHAR(64) NOT NULL,
	PRIMARY KEY (number)
);

CREATE INDEX ix_journal_event ON journal (event);

CREATE INDEX ix_journal_kind ON journal (kind);

CREATE INDEX ix_journal_subject ON journal (subject);

CREATE TABLE lease (
	account VARCHAR(255) NOT NULL,
	owner TEXT NOT NULL,
	expires_at DATETIME NOT NULL,
	PRIMARY KEY (account)
);

CREATE TABLE letter (
	account VARCHAR(255) NOT NULL,
	message_id TEXT NOT NULL,
	sent_at DATETIME NOT NULL,
	PRIMARY KEY (account)
);

CREATE TABLE mailbox (
	account VARCHAR(255) NOT NULL,
	state VARCHAR(16) NOT NULL,
	folders INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	bytes BIGINT NOT NULL,
	verified INTEGER NOT NULL,
	problems INTEGER NOT NULL,
	passes INTEGER NOT NULL,
	seconds DOUBLE NOT NULL,
	note TEXT NOT NULL,
	last_pass_at DATETIME,
	verified_at DATETIME,
	looked_at DATETIME,
	source VARCHAR(8) DEFAULT 'old' NOT NULL,
	PRIMARY KEY (account)
);

CREATE TABLE mailbox_pass (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	began_at DATETIME NOT NULL,
	seen_at DATETIME NOT NULL,
	ended_at DATETIME,
	copied INTEGER NOT NULL,
	bytes BIGINT NOT NULL,
	seconds DOUBLE NOT NULL,
	state VARCHAR(16) NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX ix_mailbox_pass_account ON mailbox_pass (account);

CREATE INDEX ix_mailbox_pass_seconds ON mailbox_pass (seconds);

CREATE INDEX ix_mailbox_pass_seen_at ON mailbox_pass (seen_at);

CREATE TABLE move (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	"to" VARCHAR(8) NOT NULL,
	turned BOOLEAN NOT NULL,
	state VARCHAR(16) NOT NULL,
	"before" JSON NOT NULL,
	run TEXT NOT NULL,
	began_at DATETIME NOT NULL,
	held_at DATETIME,
	hold_until DATETIME,
	ended_at DATETIME,
	note TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX ix_move_account ON move (account);

CREATE INDEX ix_move_state ON move (state);

CREATE TABLE move_signal (
	id INTEGER NOT NULL,
	word VARCHAR(8) NOT NULL,
	"by" TEXT NOT NULL,
	at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE move_start (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	run TEXT NOT NULL,
	at DATETIME NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX ix_move_start_at ON move_start (at);

CREATE TABLE notice (
	what VARCHAR(255) NOT NULL,
	way VARCHAR(255) NOT NULL,
	told_at DATETIME NOT NULL,
	PRIMARY KEY (what, way)
);

CREATE INDEX ix_notice_told_at ON notice (told_at);

CREATE TABLE picture (
	id INTEGER NOT NULL,
	place VARCHAR(1024) NOT NULL,
	name VARCHAR(255) NOT NULL,
	taken_at DATETIME NOT NULL,
	png BLOB NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX ix_picture_place ON picture (place);

CREATE TABLE planned_move (
	account VARCHAR(255) NOT NULL,
	wave VARCHAR(32) NOT NULL,
	starts_at DATETIME,
	note TEXT NOT NULL,
	PRIMARY KEY (account)
);

CREATE INDEX ix_planned_move_wave ON planned_move (wave);

CREATE TABLE preference (
	account VARCHAR(255) NOT NULL,
	"key" VARCHAR(64) NOT NULL,
	seen_at DATETIME NOT NULL,
	PRIMARY KEY (account, "key")
);

CREATE TABLE problem (
	id INTEGER NOT NULL,
	account VARCHAR(255) NOT NULL,
	room VARCHAR(16) NOT NULL,
	kind VARCHAR(64) NOT NULL,
	subject TEXT NOT NULL,
	subject_hash VARCHAR(64) NOT NULL,
	explanation TEXT NOT NULL,
	facts JSON NOT NULL,
	facts_hash VARCHAR(64) NOT NULL,
	details JSON NOT NULL,
	server_words TEXT NOT NULL,
	proposal JSON NOT NULL,
	state VARCHAR(16) NOT NULL,
	found_at DATETIME NOT NULL,
	seen_at DATETIME NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account, room, kind, subject_hash)
);

CREATE INDEX ix_problem_account ON problem (account);

CREATE INDEX ix_problem_state ON problem (state);

CREATE TABLE rate (
	name VARCHAR(255) NOT NULL,
	free_at DOUBLE NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE task (
	id INTEGER NOT NULL,
	phase VARCHAR(64) NOT NULL,
	run VARCHAR(255) NOT NULL,
	task VARCHAR(255) NOT NULL,
	attempt INTEGER NOT NULL,
	about VARCHAR(255) NOT NULL,
	state VARCHAR(16) NOT NULL,
	sentence TEXT NOT NULL,
	began_at DATETIME NOT NULL,
	ended_at DATETIME,
	PRIMARY KEY (id),
	UNIQUE (run, phase, task, attempt)
);

CREATE INDEX ix_task_began_at ON task (began_at);

CREATE INDEX ix_task_state ON task (state);

CREATE TABLE calendar_item (
	id INTEGER NOT NULL,
	calendar_id INTEGER NOT NULL,
	old_href VARCHAR(1024) NOT NULL,
	old_etag VARCHAR(255) NOT NULL,
	new_href VARCHAR(1024) NOT NULL,
	new_etag VARCHAR(255) NOT NULL,
	state VARCHAR(16) NOT NULL,
	problem_id INTEGER,
	PRIMARY KEY (id),
	UNIQUE (calendar_id, old_href),
	FOREIGN KEY(calendar_id) REFERENCES calendar (id),
	FOREIGN KEY(problem_id) REFERENCES problem (id)
);

CREATE INDEX ix_calendar_item_calendar_id ON calendar_item (calendar_id);

CREATE TABLE decision (
	id INTEGER NOT NULL,
	problem_id INTEGER NOT NULL,
	facts_hash VARCHAR(64) NOT NULL,
	option VARCHAR(64) NOT NULL,
	"values" JSON NOT NULL,
	decided_by TEXT NOT NULL,
	decided_at DATETIME NOT NULL,
	source VARCHAR(16) NOT NULL,
	journal_number INTEGER NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(problem_id) REFERENCES problem (id)
);

CREATE INDEX ix_decision_problem_id ON decision (problem_id);

CREATE TABLE folder_flags (
	folder_id INTEGER NOT NULL,
	packed BLOB NOT NULL,
	PRIMARY KEY (folder_id),
	FOREIGN KEY(folder_id) REFERENCES folder (id) ON DELETE CASCADE
);

CREATE TABLE fresh_flags (
	id INTEGER NOT NULL,
	folder_id INTEGER NOT NULL,
	packed BLOB NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(folder_id) REFERENCES folder (id) ON DELETE CASCADE
);

CREATE INDEX ix_fresh_flags_folder_id ON fresh_flags (folder_id);

CREATE TABLE message_exception (
	folder_id INTEGER NOT NULL,
	old_uid BIGINT NOT NULL,
	kind VARCHAR(32) NOT NULL,
	tries INTEGER NOT NULL,
	PRIMARY KEY (folder_id, old_uid),
	FOREIGN KEY(folder_id) REFERENCES folder (id) ON DELETE CASCADE
);

CREATE TABLE uid_run (
	id INTEGER NOT NULL,
	folder_id INTEGER NOT NULL,
	old_first BIGINT NOT NULL,
	new_first BIGINT NOT NULL,
	length INTEGER NOT NULL,
	origin VARCHAR(8) NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(folder_id) REFERENCES folder (id) ON DELETE CASCADE
);

CREATE INDEX ix_uid_run_folder_id ON uid_run (folder_id);

CREATE TABLE verification (
	folder_id INTEGER NOT NULL,
	level VARCHAR(16) NOT NULL,
	messages INTEGER NOT NULL,
	bytes BIGINT NOT NULL,
	removed_on_new INTEGER NOT NULL,
	excepted INTEGER NOT NULL,
	differences JSON NOT NULL,
	at DATETIME NOT NULL,
	PRIMARY KEY (folder_id),
	FOREIGN KEY(folder_id) REFERENCES folder (id) ON DELETE CASCADE
);

CREATE TABLE ledger_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT ledger_version_pkc PRIMARY KEY (version_num)
)
