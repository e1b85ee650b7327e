using Llama3Cluster.Kernels.Cpu.MachineCode;

namespace Llama3Cluster.Kernels.Cpu.Ceilings;

/// <summary>The <see cref="ChainJob{TLanes,TV,TChain}"/> of AVX-512 VNNI, in machine code: a multiply-add is one instruction.</summary>
/// <param name="code">What <see cref="Keep"/> returned.</param>
/// <param name="productsPerLane">Multiply-adds that one 32-bit lane does in an instruction.</param>
internal readonly unsafe struct VnniChainJob(void* code, int productsPerLane) : IParallelJob
{
    private const int Chains = 12, Steps = 20_000, Lanes = 16;

    /// <summary>Operations of a chunk, two a multiply-add.</summary>
    public double Operations => 2.0 * productsPerLane * Lanes * Chains * Steps;

    /// <summary>Makes the code of one instruction, which takes the sum and two factors.</summary>
    public static void* Keep(Action<Assembler, Zmm, Zmm, Zmm> instruction)
    {
        const Gp Left = Gp.Rax;
        var code = new Assembler();
        var factor = new Zmm(Chains);
        code.Splat(factor, 0x01010101, Left);
        for (int chain = 0; chain < Chains; chain++)
            code.Zero(new Zmm(chain));
        code.Set(Left, Steps);
        int next = code.Here;
        for (int chain = 0; chain < Chains; chain++)
            instruction(code, new Zmm(chain), factor, factor);
        code.Subtract(Left, 1);
        code.JumpBackIfGreater(next);
        code.Return();
        return CodeMemory.Keep(code.ToArray());
    }

    public void Run(int chunk, int worker) => ((delegate* unmanaged[SuppressGCTransition]<void>)code)();
}
