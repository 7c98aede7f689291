-- Videos and what is done to them. Their bytes are in the storage directory, under the video's id.

CREATE TABLE videos (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL,
    name        text NOT NULL CHECK (length(name) > 0),
    extension   text NOT NULL,
    width       integer NOT NULL CHECK (width >= 0),
    height      integer NOT NULL CHECK (height >= 0),
    duration_ms integer NOT NULL CHECK (duration_ms >= 0),
    size_bytes  bigint NOT NULL CHECK (size_bytes > 0),
    video_codec text NOT NULL,
    audio_codec text NOT NULL,
    rotation    integer NOT NULL,
    frame_rate  double precision NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz
);

-- A page of a user's videos, newest first.
CREATE INDEX videos_page ON videos (user_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;

-- Deleted, but with jobs or files that may still have to go.
CREATE INDEX videos_tombstones ON videos (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE video_operations (
    id          uuid PRIMARY KEY,
    video_id    uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    user_id     uuid NOT NULL,
    type        text NOT NULL CHECK (type IN ('resize', 'convert', 'extract_audio')),
    status      text NOT NULL DEFAULT 'pending'
                CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    params      jsonb NOT NULL,
    result      jsonb,
    error       text NOT NULL DEFAULT '',
    progress    smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    -- Version and sequence number of the newest job event that was applied.
    job_version integer NOT NULL DEFAULT 0,
    job_seq     bigint NOT NULL DEFAULT 0,
    -- When the job service took it over; until then the reconciler offers it again.
    enqueued_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX video_operations_page ON video_operations (video_id, created_at DESC, id DESC);
CREATE INDEX video_operations_seq ON video_operations (job_seq);
CREATE INDEX video_operations_open ON video_operations (updated_at)
    WHERE status IN ('pending', 'processing');

GRANT SELECT, INSERT, UPDATE, DELETE ON videos, video_operations TO reel_video;
