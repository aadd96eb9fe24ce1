"""The callable of OpenMetadata's ingestion; its package is needed where the task runs, and not before."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def metadata_ingestion_workflow(workflow_config: Mapping[str, Any]) -> None:
    """Run an ingestion from its configuration. Raises RuntimeError where OpenMetadata's package is missing."""
    try:
        module = importlib.import_module("metadata.ingestion.api.workflow")
    except ImportError as error:
        raise RuntimeError("This task needs the package openmetadata-ingestion.") from error
    workflow = module.Workflow.create(workflow_config)
    workflow.execute()
    workflow.raise_from_status()
    workflow.print_status()
    workflow.stop()
