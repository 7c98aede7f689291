-- Renews locks; returns the ids whose lock is lost. ARGV: prefix, lock ms, then id, token, ...
local lost = {}
for i = 3, #ARGV, 2 do
    local id, token = ARGV[i], ARGV[i + 1]
    if call('GET', P .. id .. ':lock') == token then
        call('SET', P .. id .. ':lock', token, 'PX', ARGV[2])
        call('SREM', P .. 'stalled', id)
    else
        lost[#lost + 1] = id
    end
end
return lost
