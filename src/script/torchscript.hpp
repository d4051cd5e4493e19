// A model as TorchScript, for programs that know nothing of aetools: scaling, network and loss in one module.
//
// Methods, of rows x [n, columns] in the units of the training table, NaN where a cell is not observed, of categorical
// columns the place of the level in `levels`, any other number for a level that training did not see:
//   forward(x)     [n, codes + 1]: the code, of several members side by side, and the score of the head "loss";
//                  without the score the code alone
//   encode(x)      [n, codes]
//   score(x)       [n]; only with the score
//   decode(code)   [n, columns], in the units of the table; of categorical columns the place of the likeliest level
//   reconstruct(x) decode(encode(x))
// Answers have the type of what was asked with, float32 or float64; inside it is computed in that of the module's
// buffers, float64 until the module is told otherwise. All but the codes of levels can be differentiated. Attributes:
// columns: List[str], levels: Dict[str, List[str]] of the categorical ones, made_by: str.
#pragma once

#include <string>

#include "script/exportable.hpp"

namespace ae::script {

// The bytes of a file that torch.jit.load() reads. `made_by`: who wrote it, of what.
std::string torchscript(const Exportable& model, const std::string& made_by);

}  // namespace ae::script
