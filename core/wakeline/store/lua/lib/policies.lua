-- What an agent's turns take.
-- Needs: base

-- What the latest worker with the agent's code said of its turns; what is absent is the default. Looked up once a script.
local policies
at_begin[#at_begin + 1] = function() policies = {} end
local function policy_of(agent)
  if not agent then return {} end
  if not policies[agent] then
    local text = call('HGET', ns .. 'agents', agent)
    policies[agent] = object(text) or {}
  end
  return policies[agent]
end

-- A follow-on is the session's own doing: every agent admits it.
local function admits(policy, kind) return not policy.k or kind == 'follow_on' or string.find(policy.k, string.sub(kind, 1, 1), 1, true) ~= nil end
