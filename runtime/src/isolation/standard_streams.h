// std::cerr and the others, as private libraries see them.
#pragma once

namespace torchdeploy {

// Makes the standard streams of libstdc++'s library usable, for good. Thread-safe; to be called
// before private libraries are loaded.
//
// A program that uses std::cerr has it itself, by a copy relocation, and only that one is ever
// initialized. Private libraries look into their own needs first and find the library's, which
// nobody has made: writing to it ends the process.
void InitializeStandardStreams();

}  // namespace torchdeploy
