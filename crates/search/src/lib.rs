//! Architects that propose blueprints, their prompts, and the repair loop.
