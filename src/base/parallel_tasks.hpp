// Independent pieces of work on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace ae {

// The threads for so many tasks: `asked`, or where that is 0 the processor's, and no more than tasks. At least 1.
int task_threads(int asked, std::int64_t tasks);

// Runs work(task, thread) for each task in [0, tasks), once, on `threads` threads of which the calling one is number 0.
// Tasks begin in rising order. After a failure no other one begins, those begun end, and the failure of the lowest task
// is thrown: the one that a single thread would have met. Interrupted, as throw_if_stopped(what), after a stop signal.
// `progress` (may be empty) is called on the calling thread with how many are done.
void run_tasks(std::int64_t tasks, int threads, const char* what,
               const std::function<void(std::int64_t task, int thread)>& work,
               const std::function<void(std::int64_t done)>& progress = {});

}  // namespace ae
