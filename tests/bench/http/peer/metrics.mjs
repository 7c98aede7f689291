// A duration histogram and a counter for every request, as both programs of the peer keep them.
import client from 'prom-client';

const labelNames = ['method', 'route', 'status'];
const total = new client.Counter({ name: 'http_requests_total', help: 'Requests by route and status', labelNames });
const seconds = new client.Histogram({ name: 'http_request_seconds', help: 'Duration of requests', labelNames: ['method', 'route'] });

export function metrics(route) {
  return (req, res, next) => {
    const end = seconds.startTimer({ method: req.method, route });
    res.on('finish', () => {
      end();
      total.inc({ method: req.method, route, status: res.statusCode });
    });
    next();
  };
}

export async function showMetrics(req, res) {
  res.type(client.register.contentType).send(await client.register.metrics());
}
