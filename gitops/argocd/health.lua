-- The health of a BillingPlan or a WebSocketDomain (wsedge.io) for Argo CD: docs/gitops.md says where to put it.
--
--   Healthy       Ready is true, for this generation of the spec; a domain that is switched off, too, and a plan
--                 that waits for its date: the operator has nothing left to do. Suspended would hold up a sync wave.
--   Progressing   the operator has not seen this spec yet, or Ready is not true yet
--   Degraded      Stalled is true: only a person can mend what Ready's message says
local health = { status = "Progressing", message = "the operator has not seen this spec yet" }

local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end

local stalled = false
for _, condition in ipairs(status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    stalled = true
  elseif condition.type == "Ready" then
    health.message = condition.message
    if condition.status == "True" then
      health.status = "Healthy"
    end
  end
end

if stalled then
  health.status = "Degraded"
end
return health
