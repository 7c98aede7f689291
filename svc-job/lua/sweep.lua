-- Puts jobs whose worker is gone back in front; once an interval in the whole fleet. Returns their
-- ids. ARGV: prefix, interval ms, how often a job may stall.
local back = {}
if not call('SET', P .. 'stalled-check', int(now_ms()), 'PX', ARGV[2], 'NX') then return back end
call('XTRIM', P .. 'events', 'MAXLEN', '~', call('HGET', P .. 'meta', 'opts.maxLenEvents') or 10000)
for _, id in ipairs(call('SMEMBERS', P .. 'stalled')) do
    if call('EXISTS', P .. id .. ':lock') == 0 and call('LREM', P .. 'active', 1, id) > 0 and
        put_back_stalled(P, id, tonumber(ARGV[3])) then
        back[#back + 1] = id
    end
end
call('DEL', P .. 'stalled')
local active = call('LRANGE', P .. 'active', 0, -1)
for i = 1, #active, 1000 do
    call('SADD', P .. 'stalled', unpack(active, i, math.min(i + 999, #active)))
end
if #back > 0 then wake(P) end
return back
