#include "interpreter_lib/src/call_state.h"

#include <ATen/ThreadLocalState.h>
#include <ATen/autocast_mode.h>

#include "interpreter_lib/src/settings_at_rest.h"

namespace torchdeploy {
namespace {

int AutocastNesting() {
  const int inner = at::autocast::increment_nesting();
  at::autocast::decrement_nesting();
  return inner - 1;
}

// A thread's modes as its first call finds them, and so does every other one, for every call leaves
// them so: to copy them takes longer than to put them back.
struct ModesAtRest {
  at::ThreadLocalState modes;
  // Autocast's switches are among them; these two are not.
  bool cache_enabled = at::autocast::is_autocast_cache_enabled();
  int nesting = AutocastNesting();

  void Restore() const {
    at::ThreadLocalState::setThreadLocalState(modes);
    at::autocast::set_autocast_cache_enabled(cache_enabled);
    if (AutocastNesting() == nesting) {
      return;
    }
    while (AutocastNesting() > nesting) {
      at::autocast::decrement_nesting();
    }
    at::autocast::clear_cache();
  }

  static const ModesAtRest& OfThread() {
    thread_local const ModesAtRest modes;
    return modes;
  }
};

}  // namespace

CallState::CallState(const SettingsAtRest& settings, int intra_op_threads)
    : settings_(settings), threads_(intra_op_threads) {
  ModesAtRest::OfThread();  // Read now, if this is the thread's first call.
}

CallState::~CallState() {
  ModesAtRest::OfThread().Restore();
  settings_.Restore();
}

}  // namespace torchdeploy
