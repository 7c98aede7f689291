-- Renews locks; returns the ids whose lock is lost. A lock that expired while Redis or the worker
-- was away is taken again as long as the job is still active: nobody else has claimed it.
-- ARGV: prefix, lock ms, then id, token, ...
local lost = {}
for i = 3, #ARGV, 2 do
    local id, token = ARGV[i], ARGV[i + 1]
    local lock = call('GET', P .. id .. ':lock')
    if lock == token or (not lock and call('LPOS', P .. 'active', id)) then
        call('SET', P .. id .. ':lock', token, 'PX', ARGV[2])
        call('SREM', P .. 'stalled', id)
    else
        lost[#lost + 1] = id
    end
end
return lost
