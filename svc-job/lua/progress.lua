-- Stores and announces progress; -1 when the job is gone. ARGV: prefix, id, progress (JSON).
if call('EXISTS', P .. ARGV[2]) == 0 then return -1 end
call('HSET', P .. ARGV[2], 'progress', ARGV[3])
event(P, 'progress', 'jobId', ARGV[2], 'data', ARGV[3])
return 0
