// One manager for all tests: its interpreters take seconds to start.
#pragma once

#include <functional>
#include <string>

#include <torch/deploy.h>

namespace torch::deploy {

// Two interpreters, made when they are first needed and again after DestroyManager().
InterpreterManager& SharedManager();
void DestroyManager();

// The package of packaged_model.py in which `words.word` is "one"; "two" is the other one.
Package LoadTestPackage(const std::string& word = "one");
ReplicatedObj LoadScaler();

// Python's repr(obj), and the value of a Python expression.
std::string Repr(const InterpreterSession& session, const Obj& obj);
Obj Eval(const InterpreterSession& session, const std::string& expression);
// torch.version.interp
int64_t InterpreterOf(const InterpreterSession& session);

// what() of the std::runtime_error that `action` throws, or "no error".
std::string ErrorOf(const std::function<void()>& action);

}  // namespace torch::deploy
