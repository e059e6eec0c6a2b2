#include "server/trace_settings.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "server/trace_context.h"

namespace torchdeploy::server {

TraceSettings TraceSettingsByModel::Get(const std::string& model) const {
  const std::lock_guard lock(mutex_);
  return GetLocked(model);
}

TraceSettings TraceSettingsByModel::GetLocked(const std::string& model) const {
  const auto own = own_.find(model);
  if (own == own_.end()) {
    return of_all_;
  }
  return {.is_on = own->second.is_on.value_or(of_all_.is_on),
          .rate = own->second.rate.value_or(of_all_.rate),
          .count = own->second.count.value_or(of_all_.count)};
}

void TraceSettingsByModel::Change(const std::string& model, const TraceSettingsChange& change) {
  const std::lock_guard lock(mutex_);
  if (model.empty()) {
    if (change.is_on) {
      of_all_.is_on = change.is_on->value_or(at_start_.is_on);
    }
    if (change.rate) {
      of_all_.rate = change.rate->value_or(at_start_.rate);
    }
    if (change.count) {
      of_all_.count = change.count->value_or(at_start_.count);
    }
    return;
  }
  OwnSettings& own = own_[model];
  own.is_on = change.is_on.value_or(own.is_on);
  own.rate = change.rate.value_or(own.rate);
  own.count = change.count.value_or(own.count);
}

bool TraceSettingsByModel::Take(const std::string& model,
                                const std::optional<TraceContext>& caller) {
  const std::lock_guard lock(mutex_);
  const TraceSettings settings = GetLocked(model);
  if (!settings.is_on || settings.count == 0) {
    return false;
  }
  const bool is_taken = caller ? caller->is_sampled : seen_[model]++ % settings.rate == 0;
  if (is_taken && settings.count > 0) {
    --CountOf(model);
  }
  return is_taken;
}

int64_t& TraceSettingsByModel::CountOf(const std::string& model) {
  const auto own = own_.find(model);
  return own != own_.end() && own->second.count ? *own->second.count : of_all_.count;
}

}  // namespace torchdeploy::server
