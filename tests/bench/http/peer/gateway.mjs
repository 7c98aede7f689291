// The gateway of the Node system, as far as /api/auth goes: Express and http-proxy-middleware.
// KEEP_ALIVE=1 gives the proxy a keep-alive agent, which the Node system does not have.
// Usage: TARGET=http://127.0.0.1:... PORT=... node gateway.mjs
import express from 'express';
import http from 'node:http';
import { createProxyMiddleware } from 'http-proxy-middleware';

const agent = process.env.KEEP_ALIVE ? new http.Agent({ keepAlive: true, maxSockets: 64 }) : undefined;
const app = express();

app.use('/api/auth', createProxyMiddleware({
  target: process.env.TARGET,
  changeOrigin: true,
  pathRewrite: { '^/api/auth': '' },
  logLevel: 'silent',
  agent,
}));

app.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'));
