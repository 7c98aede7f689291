-- {id, token, ...} of the jobs that are active and locked. ARGV: prefix.
local out = {}
for _, id in ipairs(call('LRANGE', P .. 'active', 0, -1)) do
    local token = call('GET', P .. id .. ':lock')
    if token then
        out[#out + 1] = id
        out[#out + 1] = token
    end
end
return out
