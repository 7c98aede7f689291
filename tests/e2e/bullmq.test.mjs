// Conformance with npm's bullmq. Its packages live in bullmq/node_modules (npm ci in that folder).
import './bullmq/scripts.mjs';
import './bullmq/service.mjs';
