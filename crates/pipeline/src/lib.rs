//! The main job: from a contract to a ranked study and its best model, over the ports.
