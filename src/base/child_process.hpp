// Other programs, run without a shell.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ae {

// The program of this name in the folder of the running one, else on PATH. UsageError when there is none.
std::filesystem::path find_program(std::string_view name);

// Runs a program to its end, its standard input on /dev/null, its standard output in the new file `output`. A stop
// signal to us is passed on, a second one kills the program where a CleanUpFirst lets it, and Interrupted is thrown
// when the program has ended. Where it fails: an Error with the last
// line it wrote to standard error, of its exit code if that is usage (2) or bad_input (4), else `failed`; `what` says
// whose work it was.
void run_program(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                 const std::string& what, const std::filesystem::path& output = "/dev/null");

}  // namespace ae
