//! Study, trial, event and the leaderboard fold; the ports that stores and executors implement.
