using Llama3Cluster.Kernels.Cpu.MachineCode;

namespace Llama3Cluster.Kernels.Tests.Cpu.MachineCode;

/// <summary>Instructions must be written as GNU as 2.40 does; these bytes are its.</summary>
public class AssemblerTests
{
    [Fact]
    public void Dot_products_must_be_encoded()
    {
        AssertWrites("62 f2 75 50 50 5a 01", code => code.DotBytes(Z(3), Z(17), new Address(Gp.Rdx, 4)));
        AssertWrites("62 42 45 58 50 a2 bc 02 00 00", code => code.DotBytes(Z(28), Z(7), new Address(Gp.R10, 700)));
        AssertWrites("62 d2 0d 40 50 c9", code => code.DotBytes(Z(1), Z(30), Z(9)));
        AssertWrites("62 72 35 50 52 7a fe", code => code.DotWords(Z(15), Z(25), new Address(Gp.Rdx, -8)));
        AssertWrites("62 82 3d 48 52 c0", code => code.DotWords(Z(16), Z(8), Z(24)));
    }

    [Fact]
    public void Arithmetic_must_be_encoded()
    {
        AssertWrites("62 62 1d 50 b8 72 08", code => code.MultiplyAdd(Z(30), Z(28), new Address(Gp.Rdx, 32)));
        AssertWrites("62 12 0d 40 b8 c8", code => code.MultiplyAdd(Z(9), Z(30), Z(24)));
        AssertWrites("62 61 1c 50 59 72 7f", code => code.Multiply(Z(30), Z(28), new Address(Gp.Rdx, 508)));
        AssertWrites("62 01 3c 40 59 c2", code => code.Multiply(Z(24), Z(24), Z(26)));
        AssertWrites("62 31 3d 48 fe c0", code => code.AddIntegers(Z(8), Z(8), Z(16)));
        AssertWrites("62 01 7c 48 5b e4", code => code.IntegersToFloat(Z(28), Z(28)));
    }

    [Fact]
    public void Bits_must_be_encoded()
    {
        AssertWrites("62 81 5d 40 db c7", code => code.And(Z(16), Z(20), Z(31)));
        AssertWrites("62 83 15 40 25 c6 f8", code => code.OrAnd(Z(16), Z(29), Z(30)));
        AssertWrites("62 01 15 40 ef ed", code => code.Zero(Z(29)));
        AssertWrites("62 b1 75 40 72 f1 10", code => code.ShiftLeft(Z(17), Z(17), 16));
        AssertWrites("62 91 35 40 71 f0 08", code => code.ShiftWordsLeft(Z(25), Z(24), 8));
        AssertWrites("62 f1 5d 40 71 d4 04", code => code.ShiftWordsRight(Z(20), Z(4), 4));
        AssertWrites("62 91 2d 40 71 e0 08", code => code.ShiftSignedWordsRight(Z(26), Z(24), 8));
        AssertWrites("62 91 35 40 71 f0 08", code => code.ShiftWords(Z(25), Z(24), 8));
        AssertWrites("62 f1 5d 40 71 d4 04", code => code.ShiftWords(Z(20), Z(4), -4));
    }

    [Fact]
    public void Moves_must_be_encoded()
    {
        AssertWrites("62 e1 7c 48 10 60 01", code => code.Load(Z(20), new Address(Gp.Rax, 64)));
        AssertWrites("62 f1 7c 48 10 a0 64 00 00 00", code => code.Load(Z(4), new Address(Gp.Rax, 100)));
        AssertWrites("62 c1 7c 48 11 5b 01", code => code.Store(new Address(Gp.R11, 64), Z(19)));
        AssertWrites("62 42 7d 48 13 42 01", code => code.LoadHalf(Z(24), new Address(Gp.R10, 32)));
        AssertWrites("62 e2 7d 48 33 48 02", code => code.LoadWords(Z(17), new Address(Gp.Rax, 64)));
        AssertWrites("62 42 7d 48 31 42 04", code => code.LoadBytes(Z(24), new Address(Gp.R10, 64)));
        AssertWrites("62 62 7d 48 21 4f 03", code => code.LoadSignedBytes(Z(25), new Address(Gp.Rdi, 48)));
        AssertWrites("62 62 7d 48 18 72 0a", code => code.Splat(Z(30), new Address(Gp.Rdx, 40)));
        AssertWrites("41 b9 0f 0f 0f 0f 62 42 7d 48 7c f9", code => code.Splat(Z(31), 0x0F0F0F0F, Gp.R9));
        AssertWrites("b8 01 01 01 01 62 72 7d 48 7c e0", code => code.Splat(Z(12), 0x01010101, Gp.Rax));
        AssertWrites("0f 18 90 00 10 00 00", code => code.Prefetch(new Address(Gp.Rax, 4096)));
        AssertWrites("41 0f 18 52 40", code => code.Prefetch(new Address(Gp.R10, 64)));
    }

    [Fact]
    public void General_registers_must_be_encoded()
    {
        AssertWrites("41 bb 08 00 00 00", code => code.Set(Gp.R11, 8));
        AssertWrites("48 8d 87 40 01 00 00", code => code.SetAddress(Gp.Rax, new Address(Gp.Rdi, 320)));
        AssertWrites("49 8d 48 01", code => code.SetAddress(Gp.Rcx, new Address(Gp.R8, 1)));
        AssertWrites("49 81 c2 00 01 00 00", code => code.Add(Gp.R10, 256));
        AssertWrites("48 81 ee 00 01 00 00", code => code.Subtract(Gp.Rsi, 256));
        AssertWrites("4d 01 c3", code => code.Add(Gp.R11, Gp.R8));
        AssertWrites("4c 01 c8", code => code.Add(Gp.Rax, Gp.R9));
        AssertWrites("4c 39 de 4c 0f 4c de", code => code.Least(Gp.R11, Gp.Rsi));
        AssertWrites("4d 85 c9", code => code.Test(Gp.R9));
        AssertWrites("c5 f8 77 c3", code => code.Return());
    }

    [Fact]
    public void Jumps_must_lead_where_they_were_meant_to()
    {
        AssertWrites(
            "4d 85 c9 0f 84 05 00 00 00 e9 04 00 00 00 c5 f8 77 c3 0f 8f e8 ff ff ff",
            code =>
            {
                code.Test(Gp.R9);
                int first = code.JumpIfZero(), second = code.Jump();
                code.Land(first);
                code.Return();
                code.Land(second);
                code.JumpBackIfGreater(0);
            });
    }

    private static Zmm Z(int number) => new(number);

    private static void AssertWrites(string expected, Action<Assembler> write)
    {
        var code = new Assembler();
        write(code);
        Assert.Equal(expected, string.Join(' ', code.ToArray().Select(value => $"{value:x2}")));
    }
}
