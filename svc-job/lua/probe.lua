-- What Redis knows of jobs, by lookups of constant cost. For each id {state, generation, value}:
-- state is missing, queued, completed or failed; value its result or reason.
-- ARGV: prefix, then ids.
local out = {}
for i = 2, #ARGV do
    local k = P .. ARGV[i]
    local f = call('HMGET', k, 'returnvalue', 'failedReason')
    local row = {'queued', int(generation_of(P, ARGV[i])), ''}
    if call('EXISTS', k) == 0 then
        row[1] = 'missing'
    elseif call('ZSCORE', P .. 'completed', ARGV[i]) then
        row[1], row[3] = 'completed', f[1] or 'null'
    elseif call('ZSCORE', P .. 'failed', ARGV[i]) then
        row[1], row[3] = 'failed', f[2] or ''
    end
    out[#out + 1] = row
end
return out
