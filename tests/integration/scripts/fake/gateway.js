// SPDX-License-Identifier: Apache-2.0
// The fake gateway's HTTP side: /ready says yes.
require('node:http')
  .createServer((request, response) => response.writeHead(request.url === '/ready' ? 200 : 404).end())
  .listen(Number(process.env.REEL_GATEWAY_PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
