-- GCRA for many keys in one round trip. KEYS: one a request. ARGV: window and interval in
-- microseconds, a pair for each key. Answers a pair for each key: 1 or 0, and how many microseconds
-- the client is ahead of its rate.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local answer = {}
for i, key in ipairs(KEYS) do
    local window = tonumber(ARGV[2 * i - 1])
    local interval = tonumber(ARGV[2 * i])
    local ahead = (tonumber(redis.call('GET', key)) or now) - now
    if ahead < 0 then
        ahead = 0
    end
    local allowed = ahead + interval <= window
    if allowed then
        ahead = ahead + interval
        redis.call('SET', key, string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
    end
    answer[2 * i - 1] = allowed and 1 or 0
    answer[2 * i] = ahead
end
return answer
