"""Optimiser steps on PyTorch for all variables at once.

Each function of `torch._foreach_...` takes a list of tensors and launches few kernels for the whole list. An update of one
variable after the other launches about 30 kernels for each variable, and copies scalars to the GPU, which each time waits
for the GPU. Keras's own optimisers use lists on PyTorch, too, but not for classes that are derived from them.

Each argument `variables`, `gradients`, `means` or `squares` is a list of tensors, in the same order. A rate is a float or a
scalar tensor. The formulas are those of `update_step` of the optimiser classes.
"""


def no_gradient():
    """Returns a context in which PyTorch records nothing for a gradient, so that variables can be updated."""
    import torch

    return torch.no_grad()


def cast(gradients, variables):
    """Returns the gradients in the dtypes of their variables; loss scaling, for example, makes them float32."""
    return [gradient.to(variable.dtype) for gradient, variable in zip(gradients, variables, strict=True)]


def clip_by_global_norm(gradients, clip_norm):
    """Scales gradients so that the norm of all of them is at most `clip_norm`. A norm that is not finite gives NaN.

    Args:
        gradients: List of tensors.
        clip_norm: Positive float.

    Returns:
        List of tensors.
    """
    import torch

    norm = torch.linalg.vector_norm(torch.stack([norm.float() for norm in torch._foreach_norm(gradients)]))
    scale = torch.clamp(clip_norm / norm, max=1.0) + (norm - norm)
    return list(torch._foreach_mul(gradients, scale))


def average(averages, variables, momentum, iterations):
    """Updates moving averages of variables. The first step copies the variables.

    Args:
        averages: List of tensors that are updated.
        variables: List of tensors.
        momentum: Float, the weight of the averages of before.
        iterations: Integer scalar tensor, the number of earlier steps.
    """
    import torch

    momentum = momentum * (iterations != 0)
    torch._foreach_mul_(averages, momentum)
    torch._foreach_add_(averages, torch._foreach_mul(variables, 1 - momentum))


def adam_directions(gradients, means, squares, step, beta_1, beta_2):
    """Updates the moments of Adam.

    Args:
        gradients, means, squares: Lists of tensors; `means` and `squares` are updated.
        step: Scalar float tensor, the number of this step, from 1.
        beta_1, beta_2: Decay rates of the moments, floats.

    Returns:
        `(directions, roots, correction)`: lists of tensors, the mean gradients without their bias and the roots of the mean
        squares; and the scalar tensor by which `roots` must be divided.
    """
    import torch

    torch._foreach_lerp_(means, gradients, 1 - beta_1)
    torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - beta_2)
    directions = torch._foreach_div(means, 1 - beta_1**step)
    return directions, torch._foreach_sqrt(squares), torch.sqrt(1 - beta_2**step)


def adam(variables, directions, roots, correction, rate, epsilon, scales=None):
    """Subtracts `rate * correction * directions / (roots + epsilon)` from the variables: a step of Keras's Adam.

    Args:
        variables: List of tensors that are updated.
        directions, roots, correction: As `adam_directions` returns them; the lists are overwritten.
        rate: Learning rate.
        epsilon: Float.
        scales: List of floats, the fraction of the learning rate of each variable; None means the whole rate.
    """
    import torch

    torch._foreach_add_(roots, epsilon)
    torch._foreach_div_(directions, roots)
    torch._foreach_mul_(directions, rate * correction)
    if scales is not None:
        torch._foreach_mul_(directions, scales)
    torch._foreach_sub_(variables, directions)


def lamb(variables, directions, roots, correction, rate, epsilon, decayed, decay):
    """Subtracts the step of LAMB from the variables, see `keras_deit.optimizers.LAMB`.

    Args:
        variables: List of tensors that are updated.
        directions, roots, correction: As `adam_directions` returns them; the lists are overwritten.
        rate: Learning rate.
        epsilon: Float.
        decayed: List of the indices of the variables with a weight decay, and so with a trust ratio.
        decay: Float, the coefficient of the decay.
    """
    import torch

    torch._foreach_div_(roots, correction)
    torch._foreach_add_(roots, epsilon)
    torch._foreach_div_(directions, roots)
    if decayed:
        weights, updates = [variables[index] for index in decayed], [directions[index] for index in decayed]
        torch._foreach_add_(updates, weights, alpha=decay)
        norms, update_norms = (torch.stack(torch._foreach_norm(tensors)) for tensors in (weights, updates))
        trusted = (norms > 0) & (update_norms > 0)
        torch._foreach_mul_(updates, list(torch.where(trusted, norms / update_norms, 1.0)))
    torch._foreach_mul_(directions, rate)
    torch._foreach_sub_(variables, directions)


def sgd(variables, gradients, velocities, rate, momentum, nesterov):
    """Takes a step of SGD with momentum.

    Args:
        variables, velocities: Lists of tensors that are updated.
        gradients: List of tensors.
        rate: Learning rate.
        momentum: Float in 0..1.
        nesterov: Whether the momentum is Nesterov's.
    """
    import torch

    steps = torch._foreach_mul(gradients, rate)
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_sub_(velocities, steps)
    if nesterov:
        torch._foreach_add_(variables, velocities, alpha=momentum)
        torch._foreach_sub_(variables, steps)
    else:
        torch._foreach_add_(variables, velocities)


def add_scaled(tensors, others, scales):
    """Returns `tensor + scale * other` for the tensors of two lists, and a list of floats."""
    import torch

    return torch._foreach_add(tensors, torch._foreach_mul(others, scales))


def decay(variables, fractions, rate):
    """Subtracts `fraction * rate * variable` from each variable, for a list of floats and a learning rate."""
    import torch

    torch._foreach_sub_(variables, torch._foreach_mul(torch._foreach_mul(variables, fractions), rate))
