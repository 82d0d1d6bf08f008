-- Metrics: totals by series, in whole numbers.
-- Needs: base
local metrics = {}

metrics.MOST = 20000 -- series. Bodies name their steps as they like, and totals are kept without an end.

function metrics.add(series, number)
  local key = ns .. 'metrics'
  if call('HLEN', key) >= metrics.MOST and call('HEXISTS', key, series) == 0 then
    series = 'wakeline_metrics_dropped_total'
  end
  call('HINCRBY', key, series, int(number))
end

-- Runs that were lost with their worker; what one hands on that leaves in order is no loss.
function metrics.lose(runs, writer)
  if runs > 0 and writer ~= 'shutdown' then metrics.add('wakeline_losses_total', runs) end
end
