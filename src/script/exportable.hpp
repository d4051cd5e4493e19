// What of a model can leave the program: its columns, its network as plain matrices, its loss.
#pragma once

#include <vector>

#include "data/tables/schema.hpp"
#include "recipe/checkpoint.hpp"
#include "script/plain_network.hpp"

namespace ae::script {

struct Exportable {
  const recipe::Checkpoint& checkpoint;      // which must outlive this
  std::vector<const data::Column*> columns;  // those that the network and the loss see, in the table's order
  PlainNetwork network;
  bool scored = true;  // the score is asked for
};

// UsageError, which says what is possible instead, when the model was not trained on a table, has no network of a kind
// that can be exported, or a loss term that cannot; and, when the score is asked for, when its head is not "loss".
Exportable exportable(const recipe::Checkpoint& checkpoint, bool scored);

}  // namespace ae::script
