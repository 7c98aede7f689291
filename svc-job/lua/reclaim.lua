-- Puts jobs back whose workers are known to be gone, before their locks expire. Returns how many.
-- ARGV: prefix, how often a job may stall, then id, token, ...
local n = 0
for i = 3, #ARGV, 2 do
    if leave_active(P, ARGV[i], ARGV[i + 1]) == 0 and
        put_back_stalled(P, ARGV[i], tonumber(ARGV[2])) then
        n = n + 1
    end
end
if n > 0 then wake(P) end
return n
