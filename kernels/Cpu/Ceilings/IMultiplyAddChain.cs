namespace Llama3Cluster.Kernels.Cpu.Ceilings;

/// <summary>
/// A multiply-add whose result is its own next operand, so that the compiler can neither leave one out nor move it out of a loop.
/// </summary>
/// <typeparam name="TV">The vector type; bits, whatever they are multiplied as.</typeparam>
internal interface IMultiplyAddChain<TV>
    where TV : unmanaged
{
    /// <summary>Multiply-adds that one 32-bit lane does in a step.</summary>
    static abstract int ProductsPerLane { get; }

    /// <summary>The next link: a product of the sum with the factor, added up.</summary>
    static abstract TV Next(TV sum, TV factor);
}
