//! Community ID v1: one id for a flow that every tool computes alike.
