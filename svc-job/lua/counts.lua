-- {waiting, active, completed, failed, delayed}. ARGV: prefix.
return {
    call('LLEN', P .. 'wait') + call('LLEN', P .. 'paused') + call('ZCARD', P .. 'prioritized'),
    call('LLEN', P .. 'active'), call('ZCARD', P .. 'completed'), call('ZCARD', P .. 'failed'),
    call('ZCARD', P .. 'delayed'),
}
