namespace Llama3Cluster.Kernels.Cpu.Simd;

/// <summary>
/// One vector width: float32 lanes <typeparamref name="TV"/> and what the kernels do with them. Kernels are written once against this
/// and compiled for every width. Loads take any address: weights in files are not aligned to vectors.
/// </summary>
/// <typeparam name="TV">The vector type.</typeparam>
internal unsafe interface ILanes<TV> : IPackedLanes<TV>, IAttentionLanes<TV>
    where TV : unmanaged
{
    /// <summary>Lanes of a vector.</summary>
    static abstract int Count { get; }

    static abstract TV Splat(float value);

    static abstract TV Load(float* source);

    static abstract void Store(float* destination, TV value);

    /// <summary>Half-precision elements, converted exactly (infinities and NaNs included).</summary>
    static abstract TV LoadHalf(ushort* source);

    /// <summary>Half-precision elements that are neither infinite nor NaNs: half the work of <see cref="LoadHalf"/>.</summary>
    static abstract TV LoadFiniteHalf(ushort* source);

    /// <summary>
    /// The same, and as fast where elements are subnormal: Intel's processors take some 150 cycles to multiply one as
    /// <see cref="LoadFiniteHalf"/> does. Single weights seldom are; a block's scale is its largest weight over up to 4,000, and often is.
    /// </summary>
    static abstract TV LoadScale(ushort* source);

    static abstract TV LoadBf16(ushort* source);

    static abstract TV LoadSByte(sbyte* source);

    static abstract TV Add(TV a, TV b);

    static abstract TV Subtract(TV a, TV b);

    static abstract TV Multiply(TV a, TV b);

    static abstract TV Divide(TV a, TV b);

    /// <summary>a b + c, fused where the processor fuses.</summary>
    static abstract TV MultiplyAdd(TV a, TV b, TV c);

    /// <summary>The smaller lanes; a NaN in <paramref name="b"/> stays.</summary>
    static abstract TV Min(TV a, TV b);

    /// <summary>The larger lanes; a NaN in <paramref name="b"/> stays.</summary>
    static abstract TV Max(TV a, TV b);

    /// <summary>The larger lane where <paramref name="challenger"/> compares greater, else <paramref name="holder"/>: a NaN never wins.</summary>
    static abstract TV Greater(TV challenger, TV holder);

    /// <summary>Whether any lanes are equal.</summary>
    static abstract bool AnyEqual(TV a, TV b);

    /// <summary>To the nearest whole number, ties to even.</summary>
    static abstract TV Round(TV a);

    /// <summary>a 2^n for whole n in -126..127.</summary>
    static abstract TV ScaleByPowerOfTwo(TV a, TV n);

    /// <summary>Exchanges lanes 2j and 2j + 1.</summary>
    static abstract TV SwapPairs(TV a);

    /// <summary>The sum of all lanes, halving the width until one is left.</summary>
    static abstract float Sum(TV a);
}
