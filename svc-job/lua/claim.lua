-- Takes the next job. ARGV: prefix, token, lock ms, worker name.
return claim(P, ARGV[2], ARGV[3], ARGV[4])
