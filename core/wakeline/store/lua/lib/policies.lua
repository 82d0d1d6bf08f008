-- Policies: what an agent says of its turns.
-- Needs: base

-- What the release in force says of the agent's turns; an absent field is the default. Each script looks once.
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
local function admits(policy, kind)
  if not policy.k or kind == 'follow_on' then return true end
  return string.find(policy.k, string.sub(kind, 1, 1), 1, true) ~= nil
end
