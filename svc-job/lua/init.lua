-- Makes the queue known and sets the global bound; returns the version that rules the queue.
-- ARGV: prefix, version, library, concurrency.
local meta = P .. 'meta'
call('HSETNX', meta, 'version', ARGV[2])
call('HSETNX', meta, 'opts.maxLenEvents', '10000')
call('HSETNX', meta, 'library', ARGV[3])
if call('HGET', meta, 'concurrency') ~= ARGV[4] then call('HSET', meta, 'concurrency', ARGV[4]) end
-- Jobs that an older producer parked while the queue was paused would wait for ever.
if call('HEXISTS', meta, 'paused') == 0 and call('LLEN', P .. 'paused') > 0 then
    for _ = 1, 7000 do
        if not call('RPOPLPUSH', P .. 'paused', P .. 'wait') then break end
    end
    wake(P)
end
return call('HGET', meta, 'version')
