// The user service behind that gateway: is the session still alive, and who is the user, both asked of
// PostgreSQL. Usage: DATABASE_URL=... PORT=... node user-service.mjs
import express from 'express';
import pg from 'pg';
import { metrics, showMetrics } from './metrics.mjs';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 20 });
const app = express();

app.get('/metrics', showMetrics);
app.use(express.json());

app.get('/user', metrics('/user'), async (req, res, next) => {
  try {
    const session = await pool.query(
      'SELECT user_id FROM peer_sessions WHERE id = $1 AND user_id = $2 AND expires_at > now()',
      [req.headers['x-session-id'], req.headers['x-user-id']]);
    if (session.rowCount === 0) return res.status(401).json({ error: 'Unauthorized' });
    const user = await pool.query(
      'SELECT id, username, email, created_at, updated_at FROM peer_users WHERE id = $1', [session.rows[0].user_id]);
    return res.json({ user: user.rows[0] });
  } catch (error) {
    return next(error);
  }
});

app.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));
