//! Requests in: routes, pages, JSON, events
