// An Express gateway that does for GET /api/auth/user what ours does: request id, request log, metrics,
// security headers, CORS, rate limit in Redis, token check, proxy. Each by its usual package, with
// that package's defaults.
// KEEP_ALIVE=1 gives the proxy a keep-alive agent, which http-proxy-middleware does not do by itself.
// Usage: TARGET=http://127.0.0.1:... PORT=... REDIS_SOCKET=... JWT_SECRET=... node gateway.mjs
import { createSecretKey, randomUUID } from 'node:crypto';
import cors from 'cors';
import express from 'express';
import { rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import http from 'node:http';
import { createProxyMiddleware } from 'http-proxy-middleware';
import jwt from 'jsonwebtoken';
import { pinoHttp } from 'pino-http';
import { RedisStore } from 'rate-limit-redis';
import { createClient } from 'redis';
import { metrics, showMetrics } from './metrics.mjs';

const redis = createClient({ socket: { path: process.env.REDIS_SOCKET } });
await redis.connect();
// As text the secret would be tried as a public key for every token, at 15 times the price.
const secret = createSecretKey(Buffer.from(process.env.JWT_SECRET));

const app = express();

app.use(pinoHttp({
  genReqId(req, res) {
    const id = req.headers['x-request-id'] ?? randomUUID();
    res.setHeader('X-Request-Id', id);
    return id;
  },
}));
app.use(helmet());
app.use(cors({ origin: [process.env.ORIGIN] }));
app.get('/metrics', showMetrics);
app.use('/api/auth', metrics('/api/auth'));
app.use(rateLimit({
  windowMs: 60 * 1000,
  limit: Number(process.env.LIMIT),
  standardHeaders: 'draft-8',
  legacyHeaders: false,
  store: new RedisStore({ sendCommand: (...args) => redis.sendCommand(args) }),
}));

function authenticate(req, res, next) {
  try {
    req.claims = jwt.verify(req.headers.authorization?.replace(/^Bearer /, '') ?? '', secret, { algorithms: ['HS256'], issuer: 'peer' });
    next();
  } catch {
    res.status(401).json({ error: 'Unauthorized' });
  }
}

app.use('/api/auth', authenticate, createProxyMiddleware({
  target: process.env.TARGET,
  changeOrigin: true,
  pathRewrite: { '^/api/auth': '' },
  logLevel: 'silent',
  agent: process.env.KEEP_ALIVE ? new http.Agent({ keepAlive: true, maxSockets: 64 }) : undefined,
  onProxyReq(outgoing, req) {
    outgoing.setHeader('X-Request-Id', req.id);
    outgoing.setHeader('X-User-Id', req.claims.sub);
    outgoing.setHeader('X-Session-Id', req.claims.jti);
  },
}));

app.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));
