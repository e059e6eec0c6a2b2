// How a pool of interpreters is made.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "torchdeploy/status.h"

namespace torchdeploy {

// Each member has a default: designated initialisers, {.interpreters = 4}, may leave it out.
struct Options {
  using CheckArchive =
      std::function<Status(const std::string& path, std::span<const std::byte> bytes)>;

  // Number of interpreters; 0 means one per core that this process may use.
  int interpreters = 0;

  // Threads of torch's intra-op parallelism in each call; 0 means cores / interpreters,
  // at least 1, so that busy interpreters do not fight over cores.
  int intra_op_threads = 0;

  // Whether the interpreters' own threads, and the intra-op threads that they start, keep to
  // cores: as many as there are intra-op threads, in turn for each interpreter. Calls that
  // run on the caller's thread are not touched: all but asynchronous ones, and those with a
  // deadline or a cancellation.
  bool pin_cores = false;

  // The Python whose packages (torch among them) the interpreters use: a path or a name
  // on $PATH. Empty: $VIRTUAL_ENV/bin/python, else python3. It must have a shared
  // libpython, torch 2.13 and torchdeploy_pkg.
  std::string python = {};

  // Where private libraries are kept. Empty: $TORCHDEPLOY_CACHE, else
  // $XDG_CACHE_HOME/torchdeploy, else ~/.cache/torchdeploy. Needs about 0.5 GB for each
  // interpreter.
  std::string cache_folder = {};

  // Start interpreters when an archive or a session first needs them, which then fails with what
  // Create() would have failed with. Python's otherwise start at once; those of archives without
  // Python, which start in no time, always when one is loaded.
  bool on_demand = false;

  // A library that implements the waist (interpreter_lib/abi/interp_abi.h) without Python.
  // It is loaded once, as it is, and makes all interpreters. Empty: the CPython engine,
  // privately loaded once per interpreter, and, for archives without Python, the native engine.
  std::string engine_library = {};

  // Called with every archive before anything of it is looked at: its path, or the name of one in
  // memory, and all its bytes, which are what the interpreters will get, whatever becomes of the
  // file. An error refuses it. On the thread that loads it. Must not throw.
  CheckArchive check_archive = {};

  // Called with one line of text for whoever operates the process, such as that an interpreter
  // hung and was replaced; on any thread. Must not throw.
  std::function<void(const std::string& line)> log = {};
};

}  // namespace torchdeploy
