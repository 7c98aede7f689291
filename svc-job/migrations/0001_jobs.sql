-- The record of every job. Redis holds an index of the rows that have not ended; it can be rebuilt.
CREATE TABLE job_history (
    job_id uuid PRIMARY KEY, -- the operation's id
    queue_id text NOT NULL,  -- the job's id in Redis: equal to job_id unless a Node producer chose it
    type text NOT NULL,
    video_id uuid NOT NULL,
    user_id uuid NOT NULL,
    state text NOT NULL CHECK (
        state IN ('waiting', 'delayed', 'active', 'completed', 'failed', 'cancelled')
    ),
    version integer NOT NULL DEFAULT 1,    -- plus one at every change of state: the fencing token
    generation integer NOT NULL DEFAULT 1, -- plus one when a finished job is run again
    request text NOT NULL,                 -- job.EnqueueRequest, as it stands in Redis
    priority integer NOT NULL DEFAULT 0,
    attempts_made integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    crashes integer NOT NULL DEFAULT 0,
    result text, -- job.JobResult
    failed_code text,
    failed_reason text,
    is_settled boolean NOT NULL DEFAULT false, -- Redis knows how the job ended
    created_at timestamptz NOT NULL DEFAULT now(),
    run_at timestamptz, -- of a delayed job
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX job_history_user_id ON job_history (user_id, job_id DESC);
CREATE INDEX job_history_video_id ON job_history (video_id);
CREATE INDEX job_history_open ON job_history (job_id)
    WHERE state IN ('waiting', 'delayed', 'active');
CREATE INDEX job_history_finished_at ON job_history (finished_at)
    WHERE state IN ('completed', 'failed', 'cancelled');

-- Every change of state, numbered in the order of the commits.
CREATE TABLE job_events (
    seq bigint PRIMARY KEY,
    type text NOT NULL,
    job_id uuid NOT NULL,
    video_id uuid NOT NULL,
    user_id uuid NOT NULL,
    version integer NOT NULL,
    job text NOT NULL, -- job.Job after the change
    at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX job_events_user_id ON job_events (user_id, seq);
CREATE INDEX job_events_at ON job_events (at);

-- The last number given. Its row lock is held until the commit, so the numbers are visible in
-- order and without gaps, also after the oldest events are gone.
CREATE TABLE job_event_counter (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    last_seq bigint NOT NULL
);
INSERT INTO job_event_counter (last_seq) VALUES (0);

GRANT SELECT, INSERT, UPDATE, DELETE ON job_history, job_events TO reel_job;
GRANT SELECT, UPDATE ON job_event_counter TO reel_job;
