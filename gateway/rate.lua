-- GCRA for many keys in one round trip. KEYS: one a request. ARGV: window and interval in
-- microseconds and how many permits are wished for, three for each key. Answers a pair for each key:
-- how many it got (0: refused), and how many microseconds the client is ahead of its rate. More than
-- one is at most a 64th of what is left, so that small budgets are counted one by one.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local answer = {}
for i, key in ipairs(KEYS) do
    local window = tonumber(ARGV[3 * i - 2])
    local interval = tonumber(ARGV[3 * i - 1])
    local wish = tonumber(ARGV[3 * i])
    local ahead = (tonumber(redis.call('GET', key)) or now) - now
    if ahead < 0 then
        ahead = 0
    end
    local granted = 0
    if ahead + interval <= window then
        granted = math.max(1, math.min(wish, math.floor((window - ahead) / interval / 64)))
        ahead = ahead + granted * interval
        redis.call('SET', key, string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
    end
    answer[2 * i - 1] = granted
    answer[2 * i] = ahead
end
return answer
