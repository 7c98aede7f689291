// The user service of the Node system, as far as GET /user goes: Express, an opaque session token
// looked up in PostgreSQL, then the user. Usage: DATABASE_URL=... PORT=... node user-service.mjs
import express from 'express';
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 20 });
const app = express();

app.use(express.json());

app.get('/user', async (req, res, next) => {
  try {
    const token = req.headers.authorization?.replace(/^Bearer /, '');
    const session = await pool.query(
      'SELECT user_id FROM peer_sessions WHERE token = $1 AND expires_at > now()', [token]);
    if (session.rowCount === 0) return res.status(401).json({ error: 'Unauthorized' });
    const user = await pool.query(
      'SELECT id, username, email FROM peer_users WHERE id = $1', [session.rows[0].user_id]);
    return res.json({ user: user.rows[0] });
  } catch (error) {
    return next(error);
  }
});

app.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'));
